variable "ports" {
  type    = map(number)
  default = { http = 8080, admin = 9000, metrics = 0 }
}
locals {
  groups = [
    { name = "a", count = 1, tasks = ["t1", "t2"] },
    { name = "b", count = 2, tasks = [] },
    { name = "c", count = "3", tasks = ["t3"] },
  ]
}
job "dyn" {
  datacenters = ["dc1"]
  dynamic "constraint" {
    for_each = setunion(["z", "a"])
    content {
      attribute = "${attr.x}-${constraint.key}"
      value     = constraint.value
    }
  }
  dynamic "group" {
    for_each = local.groups
    iterator = g
    labels   = [g.value.name]
    content {
      count = g.value.count
      meta {
        index = g.key
        name  = upper(g.value.name)
      }
      network {
        dynamic "port" {
          for_each = var.ports
          labels   = [port.key]
          content {
            static = port.value
            to     = port.value + g.key
          }
        }
      }
      dynamic "task" {
        for_each = g.value.tasks
        labels   = ["${g.value.name}-${task.value}"]
        content {
          driver = "exec"
          config {
            command = task.value
            index   = task.key
            both    = [for i in range(2) : "${g.key}-${task.key}-${i}"]
            nested {
              name = g.value.name
            }
          }
          env {
            GROUP = g.value.name
            NODE  = "${node.unique.name}"
          }
          dynamic "template" {
            for_each = [for n in ["x", "y"] : n if n != "y"]
            content {
              destination = "local/${template.value}"
              data        = <<-EOF
                %{ for p, n in var.ports ~}
                ${p}=${n} in ${g.value.name}
                %{ endfor ~}
              EOF
            }
          }
        }
      }
      dynamic "volume" {
        for_each = { data = "host", logs = "csi" }
        labels   = [volume.key]
        content {
          type   = volume.value
          source = "${g.value.name}-${volume.key}"
        }
      }
      dynamic "update" {
        for_each = g.key == 1 ? [5] : []
        content {
          max_parallel = update.value
        }
      }
    }
  }
}
