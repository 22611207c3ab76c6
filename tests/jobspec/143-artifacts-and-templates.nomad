job "files" {
  datacenters = ["dc1"]
  group "g" {
    task "t" {
      driver = "exec"
      artifact {
        source = "git::https://github.com/example/x?ref=1"
        options {
          sshkey = "${base64encode("key")}"
          depth  = 1
        }
      }
      artifact {
        source      = "s3::https://b.s3.amazonaws.com/x"
        destination = "local/"
        mode        = "any"
        headers {
          User-Agent    = "nomad-[${NOMAD_JOB_ID}]"
          X-Nomad-Alloc = 5
        }
      }
      template {
        source        = "local/in.tpl"
        destination   = "local/out"
        change_mode   = "signal"
        change_signal = "SIGHUP"
        perms         = "0600"
        env           = "true"
      }
      template {
        data            = "[[ x ]]"
        destination     = "${NOMAD_TASK_DIR}/y"
        left_delimiter  = "[["
        right_delimiter = "]]"
        change_mode     = ""
        perms           = ""
        splay           = 0
      }
    }
  }
}
