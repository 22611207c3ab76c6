variable "env" {
  default = "prod"
}
locals {
  z   = local.y + 1
  y   = local.x * 2
  x   = 10
  env = var.env
  sizes = {
    prod = { cpu = 2000, dcs = ["a", "b"] }
    dev  = { cpu = 100, dcs = ["c"] }
  }
  size = local.sizes[local.env]
}
locals {
  name = "${local.env}-${local.z}"
  runtime = "${node.class}-${local.x}"
  missing = lookup(local.sizes, "none", { cpu = 1, dcs = [] })
}
job "locals" {
  datacenters = local.size.dcs
  meta {
    name    = local.name
    runtime = local.runtime
    cpu     = local.missing.cpu
    all     = join(",", keys(local.sizes))
  }
  group "g" {
    task "t" {
      driver = "exec"
      resources {
        cpu = local.size.cpu
      }
      config {
        dcs  = local.missing.dcs
        size = local.size
      }
    }
  }
}
