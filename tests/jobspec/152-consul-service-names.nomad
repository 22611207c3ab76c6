job "names" {
  datacenters = ["dc1"]
  consul_token = "ct"
  vault_token  = "vt"
  namespace    = "ns"
  region       = "r"
  group "g" {
    consul {
      namespace = "cns"
    }
    service {
      name = "${NOMAD_JOB_NAME}"
      id   = "own-id"
      connect {
        native = true
      }
    }
    service {
      name = "proxied"
      port = "8080"
      connect {
        sidecar_service {
          proxy {
            upstreams {
              destination_name = "db"
              local_bind_port  = "5432"
            }
            dynamic "upstreams" {
              for_each = { cache = 6379, queue = 5672 }
              content {
                destination_name = upstreams.key
                local_bind_port  = upstreams.value
              }
            }
            config {
              a = { b = [1, { c = 2 }] }
            }
            expose {
              path {
                path            = "/m"
                protocol        = "http"
                local_path_port = 9102
                listener_port   = "metrics"
              }
            }
          }
        }
        sidecar_task {
          resources {
            cpu    = 50
            memory = 32
          }
          config {
            args = ["x"]
          }
        }
      }
    }
    task "t" {
      driver = "exec"
    }
  }
}
