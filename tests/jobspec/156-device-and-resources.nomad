job "res" {
  datacenters = ["dc1"]
  group "g" {
    ephemeral_disk {
      size = 1024 * 2
    }
    task "a" {
      driver = "exec"
      resources {
        cores      = 2
        memory     = 1024
        memory_max = 2048
        device "nvidia/gpu/Tesla" {
          count = 2
          constraint {
            attribute = "${device.attr.memory}"
            operator  = ">="
            value     = "4 GiB"
          }
          affinity {
            attribute = "${device.model}"
            regexp    = "^T"
            weight    = 75
          }
        }
      }
    }
    task "b" {
      driver = "exec"
      resources {
        cpu    = 1e3
        memory = 128 + 0.0
        disk   = 10
        iops   = 1
        network {
          mbits = 5
          mode  = "host"
          port "a" {
            static = 1
          }
          port "b" {}
        }
      }
      logs {
        max_files     = "3"
        max_file_size = 5
      }
    }
  }
}
