job "s" {
  datacenters = ["dc1"]
  group "g" {
    service {
      port = 8080
    }
    service {
      name         = "${JOB}-${TASKGROUP}-web"
      port         = "http"
      tags         = ["a", "${NOMAD_JOB_NAME}", 3]
      canary_tags  = []
      address_mode = "alloc"
      on_update    = "require_healthy"
      task         = "t"
      meta {
        version = 1.0
        dc      = "${node.datacenter}"
      }
      canary_meta {
        c = true
      }
      check {
        type     = "http"
        path     = "/health"
        method   = "HEAD"
        protocol = "https"
        port     = "admin"
        interval = "10s"
        timeout  = "2s"
        header {
          Host   = ["example.com"]
          Accept = ["a", "b"]
        }
        check_restart {
          limit           = 3
          ignore_warnings = true
        }
      }
      check {
        name    = "script"
        type    = "script"
        command = "/bin/sh"
        args    = ["-c", "exit 0"]
      }
      check {
        type                     = "tcp"
        initial_status           = "warning"
        success_before_passing   = 1
        failures_before_critical = 2
        tls_skip_verify          = true
        address_mode             = "driver"
        on_update                = "ignore_warnings"
      }
      check_restart {
        grace = "10s"
      }
    }
    task "t" {
      driver = "exec"
      service {}
      service {
        name                = "tasky"
        enable_tag_override = true
        tags                = null
      }
    }
  }
}
