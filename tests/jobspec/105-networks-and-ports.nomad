job "net" {
  datacenters = ["dc1"]
  group "a" {
    network {
      mode  = "cni/mynet"
      mbits = 20
      device = "eth1"
      cidr = "10.0.0.0/8"
      ip = "10.1.1.1"
      dns {
        servers  = ["1.1.1.1", "8.8.8.8"]
        searches = ["svc.local"]
        options  = ["ndots:2"]
      }
      port "dyn" {}
      port "static" { static = 8080 }
      port "mapped" {
        to = 80
        host_network = "public"
      }
      port "same" { to = -1 }
      port "zero" { static = 0 }
      port "both" {
        static = "443"
        to = 8443
      }
    }
    task "t" {
      driver = "docker"
      config { image = "x" }
      resources {
        cpu = 100
        network {
          mbits = 10
          port "legacy" {}
          port "fixed" { static = 25 }
        }
        device "nvidia/gpu" {
          count = 2
          constraint {
            attribute = "${device.attr.memory}"
            operator = ">="
            value = "2 GiB"
          }
          affinity {
            attribute = "${device.model}"
            value = "Tesla K80"
            weight = -50
          }
        }
        device "intel/fpga" {}
      }
    }
  }
  group "b" {
    network { mode = "host" }
    network {
      port "x" { to = 1 }
    }
    task "t" { driver = "x" }
  }
}
