job "mesh" {
  datacenters = ["dc1"]
  group "api" {
    consul { namespace = "team" }
    service {
      name = "api"
      port = 9001
      tags = []
      canary_tags = ["c"]
      meta { v = 1 }
      canary_meta { v = 2 }
      enable_tag_override = true
      address_mode = "driver"
      on_update = "ignore"
      task = "t"
      check_restart {
        limit = 3
        grace = "90s"
        ignore_warnings = true
      }
      connect {
        sidecar_service {
          tags = ["mesh"]
          port = "p"
          disable_default_tcp_check = true
          proxy {
            local_service_address = "127.0.0.1"
            local_service_port = 8080
            config {
              envoy_dogstatsd_url = "udp://127.0.0.1:9125"
              nested { a = 1 }
              map = { k = "v" }
            }
            expose {
              path {
                path = "/health"
                protocol = "http"
                local_path_port = 8080
                listener_port = "hc"
              }
            }
            upstreams {
              destination_name = "db"
              local_bind_port = 5432
            }
            upstreams {
              destination_name = "cache"
              local_bind_port = 6379
              datacenter = "dc2"
              local_bind_address = "127.0.0.2"
            }
          }
        }
        sidecar_task {
          name = "proxy"
          driver = "docker"
          user = "envoy"
          config { image = "envoyproxy/envoy:v1.16.2" }
          env { A = 1 }
          meta { m = "x" }
          kill_timeout = "10s"
          shutdown_delay = "5s"
          kill_signal = "SIGINT"
          resources {
            cpu = 100
            memory = 64
          }
          logs {
            max_files = 2
            max_file_size = 2
          }
        }
      }
    }
    service {
      connect { native = true }
    }
    service {
      name = "gw"
      connect {
        gateway {
          proxy {
            connect_timeout = "3s"
            envoy_gateway_bind_tagged_addresses = true
            envoy_gateway_bind_addresses "a" {
              address = "0.0.0.0"
              port = 8888
            }
            envoy_gateway_bind_addresses "b" { port = 1 }
            envoy_gateway_no_default_bind = true
            envoy_dns_discovery_type = "LOGICAL_DNS"
            config { foo = "bar" }
          }
          ingress {
            tls { enabled = true }
            listener {
              port = 8080
              protocol = "http"
              service {
                name = "web"
                hosts = ["example.com", "*.x"]
              }
            }
            listener {
              port = 8081
              protocol = "tcp"
              service { name = "db" }
            }
          }
        }
      }
    }
    service {
      name = "tg"
      connect {
        gateway {
          terminating {
            service {
              name = "ext"
              ca_file = "/ca"
              cert_file = "/c"
              key_file = "/k"
              sni = "x"
            }
          }
        }
      }
    }
    service {
      connect {
        sidecar_service {}
      }
    }
    task "t" { 
      driver = "docker" 
      service {
        port = "http"
        check {
          type = "grpc"
          grpc_service = "x"
          grpc_use_tls = true
          interval = "10s"
          timeout = 2000000000
          header {
            Authorization = ["Basic Zm9v", "b"]
            X-Y = ["z"]
          }
          check_restart { limit = 1 }
          args = ["a"]
          command = "c"
          expose = true
          port = 8080
          id = "chk"
          tls_skip_verify = true
          success_before_passing = 3
          failures_before_critical = 4
          method = "POST"
          body = "{}"
          initial_status = "passing"
          address_mode = "alloc"
          on_update = "require_healthy"
          task = "t"
          protocol = "https"
        }
        check {}
      }
    }
  }
}
