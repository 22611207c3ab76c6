job "solo" {
  datacenters = ["dc1"]
  meta {
    k = "v"
  }
  group "last" {
    count = 2
    task "x" {
      driver = "exec"
    }
  }
  task "b" {
    driver = "exec"
    env = { "a.b" = 1 }
    scaling "mem" {
      max = 5
    }
    template {
      data = "x"
    }
    resources {
      network {
        port "p" {
          static = 80
        }
      }
    }
  }
  dynamic "task" {
    for_each = ["c", "d"]
    labels   = ["${task.value}-${task.key}"]
    content {
      driver = task.value
    }
  }
  task "a" {
    driver = "exec"
    service {
      port = "p"
    }
  }
}
