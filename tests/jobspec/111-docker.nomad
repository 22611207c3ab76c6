job "docker" {
  datacenters = ["dc1"]
  group "g" {
    network {
      port "db" {
        to = 5432
      }
    }
    task "t" {
      driver = "docker"
      config {
        image        = "postgres:13"
        ports        = ["db"]
        network_mode = "bridge"
        privileged   = false
        cap_add      = ["net_admin"]
        volumes      = ["local/x:/etc/x:ro", "${NOMAD_ALLOC_DIR}/d:/d"]
        labels {
          group    = "db"
        }
        auth {
          username = "u"
          password = "p"
        }
        logging {
          type = "fluentd"
          config {
            fluentd-address = "localhost:24224"
            tag             = "t.{{.ID}}"
          }
        }
        mount {
          type   = "tmpfs"
          target = "/tmp"
          tmpfs_options {
            size = 100000
          }
        }
        mount {
          type     = "volume"
          target   = "/v"
          readonly = true
          volume_options {
            labels {
              foo = "bar"
            }
            driver_config {
              name = "pxd"
              options = {
                size = "10G"
              }
            }
          }
        }
        ulimit {
          nproc  = "4242"
          nofile = "2048:4096"
        }
        sysctl = {
          "net.core.somaxconn" = "16384"
        }
        extra_hosts = ["h:1.2.3.4"]
        devices = [
          {
            host_path      = "/dev/sda1"
            container_path = "/dev/xvdc"
          },
          {
            host_path = "/dev/sda2"
          }
        ]
        port_map = {
          db = 5432
        }
      }
    }
  }
}
