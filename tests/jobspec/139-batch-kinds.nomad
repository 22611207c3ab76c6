job "periodic" {
  datacenters = ["dc1"]
  type        = "batch"
  periodic {
    cron             = "@daily"
    prohibit_overlap = "true"
    time_zone        = "America/New_York"
  }
  parameterized {
    payload       = "required"
    meta_required = ["a", "b"]
    meta_optional = []
  }
  group "g" {
    reschedule {
      attempts  = 0
      unlimited = false
    }
    task "t" {
      driver = "exec"
      dispatch_payload {
        file = "in.json"
      }
      lifecycle {
        hook = "poststop"
      }
      logs {
        max_files = 1
      }
    }
  }
}
