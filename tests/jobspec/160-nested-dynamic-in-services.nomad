locals {
  checks = {
    live  = { path = "/live", headers = { A = ["1"], B = ["2", "3"] } }
    ready = { path = "/ready", headers = {} }
  }
}
job "checks" {
  datacenters = ["dc1"]
  group "g" {
    dynamic "service" {
      for_each = ["web", "admin"]
      iterator = svc
      content {
        name = svc.value
        port = svc.value
        tags = [for c, _ in local.checks : "${svc.value}-${c}"]
        dynamic "check" {
          for_each = local.checks
          content {
            name     = "${svc.value}-${check.key}"
            type     = "http"
            path     = check.value.path
            interval = "${10 + svc.key}s"
            timeout  = "2s"
            dynamic "header" {
              for_each = length(check.value.headers) > 0 ? [check.value.headers] : []
              content {
                A = header.value.A
              }
            }
          }
        }
      }
    }
    task "t" {
      driver = "exec"
    }
  }
}
