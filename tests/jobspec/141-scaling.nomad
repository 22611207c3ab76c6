job "scale" {
  datacenters = ["dc1"]
  group "g" {
    count = 2
    scaling {
      min     = 1
      max     = "10"
      type    = "horizontal"
      enabled = false
      policy {
        cooldown            = "2m"
        evaluation_interval = "30s"
        check "cpu" {
          source = "nomad-apm"
          query  = "avg_cpu"
          strategy "target-value" {
            target = 70.5
          }
        }
        check "mem" {
          query = "max_memory"
          strategy "threshold" {
            within = { lower = 1 }
          }
        }
        target "x" {
          Job = "y"
        }
        on = true
      }
    }
    task "t" {
      driver = "exec"
      scaling "mem" {
        type = "vertical_mem"
        max  = 100
      }
      scaling "cpu" {
        policy {}
      }
    }
  }
  group "h" {
    scaling {
      max = 0
    }
    task "t" {
      driver = "exec"
    }
  }
}
