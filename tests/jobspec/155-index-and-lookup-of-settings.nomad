variable "env" {
  type    = string
  default = "staging"
}
locals {
  settings = {
    prod    = { count = 3, image = "app:1", env = { LOG = "warn" } }
    staging = { count = 1, image = "app:2", env = { LOG = "debug", EXTRA = "1" } }
  }
  s = local.settings[var.env]
}
job "app" {
  datacenters = ["dc1"]
  group "g" {
    count = local.s.count
    task "t" {
      driver = "docker"
      config {
        image = local.s.image
      }
      env = merge({ NAME = "app" }, local.s.env)
      meta = { for k, v in local.s.env : lower(k) => v }
    }
  }
}
