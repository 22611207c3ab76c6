job "x" {
  datacenters = ["x"]
  meta { x = "job" }
  group "x" {
    meta { x = "group" }
    network {
      port "x" {}
    }
    volume "x" { source = "x" }
    service {
      name = "x"
      port = "x"
      meta { x = "service" }
    }
    task "x" {
      driver = "x"
      config { x = "x" }
      env { x = "x" }
      meta { x = "task" }
      constraint { value = "x" }
      resources {
        device "x" {}
      }
    }
  }
}
