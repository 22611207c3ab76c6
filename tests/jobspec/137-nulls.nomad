variable "n" {
  type    = string
  default = null
}
variable "nl" {
  type    = list(string)
  default = null
}
job "nulls" {
  datacenters = null
  type        = var.n
  priority    = null
  region      = coalesce(var.n, "r")
  group "g" {
    count = null
    shutdown_delay = "1s"
    update {
      max_parallel = null
      canary       = 1
      auto_revert  = null
    }
    task "t" {
      driver = "exec"
      config {
        a = null
        b = [null, 1]
        c = { d = null }
        e = var.n
        f = var.nl
        g = var.n == null
        h = [for x in [null, "x"] : x == null ? "none" : x]
      }
      vault {
        policies  = null
        namespace = null
      }
      resources {
        cpu    = null
        memory = 5
      }
    }
  }
}
