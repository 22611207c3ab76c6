locals {
  common = { A = 1, B = true }
}
job "e" {
  datacenters = ["dc1"]
  meta = merge(local.common, { "x.y" = "z" })
  group "g" {
    meta {}
    task "t" {
      driver = "exec"
      env = {
        "a.b"   = "dotted"
        (upper("k")) = 1.50
        plain   = false
        "${"in"}terp" = "${NOMAD_PORT_http}"
      }
      meta = {}
    }
    task "u" {
      driver = "exec"
      env {
        N     = 5
        F     = 2.50
        B     = true
        E     = ""
        BIG   = 12345678901234567890
        EXP   = 1e6
        SMALL = 1e-7
        NEG   = -0.5
        SUM   = 0.1 + 0.2
        THIRD = floor(1 / 3 * 1000)
        A-B   = "dash"
        _x    = "under"
      }
      meta = { for k in ["p", "q"] : k => "${k}!" }
    }
    task "v" {
      driver = "exec"
      meta {
        k = "v"
      }
    }
  }
}
