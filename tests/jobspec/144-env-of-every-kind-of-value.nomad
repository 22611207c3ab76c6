locals {
  list = ["a", "b"]
}
job "env" {
  datacenters = ["dc1"]
  group "g" {
    task "t" {
      driver = "exec"
      env {
        LIST    = join(",", local.list)
        JSON    = jsonencode(local.list)
        TERNARY = length(local.list) > 1 ? "many" : "one"
        NUMBER  = length(local.list)
        FIRST   = local.list[0]
        FLOAT   = 10 / 4
        BOOL    = contains(local.list, "a")
        MULTI   = <<-EOT
          a
          b
        EOT
        RUNTIME = NOMAD_ALLOC_ID
        MIXED   = "${NOMAD_TASK_NAME}/${local.list[1]}"
      }
    }
  }
}
