# A web server on a port that the scheduler chooses. Needs python3 on the machines that run it.
#
#   drover job run etc/example-service.nomad
#   drover job status example-service          the allocations
#   drover alloc status <allocation>           its address

job "example-service" {
  datacenters = ["dc1"]
  type        = "service"

  group "web" {
    count = 1

    network {
      port "http" {}
    }

    service {
      name = "example-service"
      port = "http"

      check {
        type     = "http"
        path     = "/"
        interval = "10s"
        timeout  = "2s"
      }
    }

    restart {
      attempts = 3
      interval = "5m"
      delay    = "5s"
      mode     = "delay"
    }

    task "server" {
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args = ["-c", <<-EOT
          echo "<h1>$NOMAD_ALLOC_NAME on $NOMAD_ADDR_http</h1>" >local/index.html
          exec python3 -m http.server --bind "$NOMAD_IP_http" --directory local "$NOMAD_PORT_http"
        EOT
        ]
      }

      # python3 leaves its server on SIGINT, and exits 0.
      kill_signal  = "SIGINT"
      kill_timeout = "5s"

      resources {
        cpu    = 50 # MHz
        memory = 64 # MB
      }
    }
  }
}
