locals {
  k = "dyn"
}
job "keys" {
  datacenters = ["dc1"]
  group "g" {
    task "t" {
      driver = "exec"
      config {
        bare     = { a = 1, b-c = 2, _d = 3, é = 4 }
        quoted   = { "a b" = 1, "c.d" = 2, "" = 3 }
        computed = { (local.k) = 1, (upper(local.k)) = 2, "${local.k}-x" = 3 }
        colons   = { a : 1, "b" : 2 }
        words    = { for-each = 1, if = 2, in = 3, true = 4, null = 5, else = 6 }
        numbers  = { 1 = "a", 2.5 = "b", "1" = "c" }
        last     = { a = 1, a = 2 }
        expr     = { (1 + 1) = "two", (true) = "t" }
        nested   = { a = { "b.c" = { (local.k) = [] } } }
        runtime  = { "${node.class}" = 1 }
      }
    }
  }
}
