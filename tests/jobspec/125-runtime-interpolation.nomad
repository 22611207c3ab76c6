variable "x" {
  default = "v"
}
job "run" {
  datacenters = ["dc1"]
  region      = meta.region
  meta {
    a = "${NOMAD_ADDR_http}"
    b = "${ node.class }"
    c = "${   node.unique.name   }-${var.x}"
    d = "${attr.kernel.name}:${meta.a-b.c}"
    e = "${env["A.B"]}"
    f = "${attr.network.eth0.ip.0}"
    g = "${root[0]["k"].x}"
    h = node.datacenter
    i = "${upper(node.class)}"
    j = "prefix ${NOMAD_META_x} ${var.x} $${kept}"
    k = try(meta.nope, "fallback")
    l = can(meta.nope)
    m = "${"${node.region}"}"
    n = "${each.value}${self.id}"
    o = length(split(".", "${attr.a.b}"))
  }
  group "g" {
    task "t" {
      driver = "docker"
      config {
        image = "${NOMAD_META_image}:${var.x}"
        args  = [node.class, "${NOMAD_PORT_db}", "--x=${NOMAD_ALLOC_ID}", env["HOME"]]
        map   = { k = "${attr.x}", "${attr.y}" = 1 }
      }
      template {
        destination = "${NOMAD_SECRETS_DIR}/x"
        data        = "{{ key \"${NOMAD_JOB_NAME}\" }} ${node.class}"
      }
      artifact {
        source      = "https://x/${attr.kernel.name}.tgz"
        destination = "local/${NOMAD_GROUP_NAME}"
        options {
          checksum = "md5:${meta.sum}"
        }
      }
    }
  }
}
