locals {
  targets = [for i in range(1, 3) : format("10.0.0.%d:9100", i)]
}
job "prom" {
  datacenters = ["dc1"]
  group "g" {
    task "t" {
      driver = "docker"
      template {
        destination = "local/prometheus.yml"
        data = yamlencode({
          global = { scrape_interval = "15s" }
          scrape_configs = [
            {
              job_name       = "node"
              static_configs = [{ targets = local.targets }]
            },
            {
              job_name = "self"
              params   = { "match[]" = ["{job=~\".+\"}"] }
              honor    = true
              limit    = 0
              note     = null
            },
          ]
        })
      }
      template {
        destination = "local/rules.json"
        data        = jsonencode({ rules = [for t in local.targets : { alert = "Down", expr = "up{instance=\"${t}\"} == 0" }] })
      }
    }
  }
}
