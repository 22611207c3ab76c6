job "d" {
  datacenters = ["dc1"]
  update {
    stagger           = "1h2m3s"
    min_healthy_time  = "1.5s"
    healthy_deadline  = "250ms"
    progress_deadline = 0
  }
  migrate {
    max_parallel     = 1
    health_check     = "task_states"
    min_healthy_time = "100us"
    healthy_deadline = "7ns"
  }
  reschedule {
    delay          = "-5s"
    interval       = "1h30m"
    max_delay      = "2h0m0s"
    delay_function = "exponential"
    unlimited      = false
    attempts       = 3
  }
  group "g" {
    shutdown_delay               = "90s"
    stop_after_client_disconnect = "24h"
    restart {
      attempts = 10
      delay    = 15000000000
      interval = "30m"
      mode     = "delay"
    }
    task "t" {
      driver         = "exec"
      kill_timeout   = "1m30s"
      shutdown_delay = "100ms"
      template {
        data        = "x"
        destination = "d"
        splay       = "1m"
        vault_grace = "15s"
      }
      service {
        check {
          type     = "tcp"
          interval = "1m"
          timeout  = "500ms"
          check_restart {
            limit = 3
            grace = "2m"
          }
        }
      }
    }
  }
}
