variable "obj" {
  type    = object({ a = number, b = string })
  default = { a = "1", b = 2 }
}
variable "maps" {
  type    = map(map(string))
  default = { z = { k = 1 }, a = { k = true } }
}
variable "list" {
  type    = list(map(number))
  default = [{ a = 1 }, { b = 2 }]
}
locals {
  o = { x = 1, y = { z = [1, { w = 2 }] } }
}
job "c" {
  datacenters = ["dc1"]
  group "g" {
    task "t" {
      driver = "docker"
      config {
        string     = "s"
        int        = 3
        large      = 21474836470
        float      = 3.2
        below      = 1.2
        yes        = true
        nothing    = null
        empty      = ""
        list       = ["a", 1, true, null, 2.5]
        mixed      = [1, "a", { k = "v" }, [2]]
        no_items   = []
        map        = { KEY = "VAL", "with space" = 1 }
        no_members = {}
        in_parens  = ({ a = 1 })
        of_local   = local.o
        of_var     = var.obj
        of_maps    = var.maps
        of_list    = var.list
        of_call    = merge({ a = 1 }, { b = 2 })
        of_for     = { for k in ["a", "b"] : k => upper(k) }
        of_if      = true ? { a = 1 } : { a = 2 }
        maps       = [{ a = 1 }, { b = { c = 1 } }]
        deep       = { a = { b = { c = {} } } }
        block {
          k    = "b"
          map  = { inner = true }
          list = [{ a = 1 }]
        }
        labeled "one" {
          k = 1
        }
        many "a" "b" "c" {
          k = 1
        }
        repeated {
          a = 1
        }
        repeated {
          b = 2
        }
        repeated "l" {
          c = 3
        }
        outer "l1" {
          level = 1
          inner "l2" {
            level = 2
            most {
              m = { K = "V" }
            }
          }
          inner "l3" {}
        }
        empty_block {}
        ünicode = "ö"
        dash-ed = 1
      }
    }
    task "none" {
      driver = "exec"
    }
    task "empty" {
      driver = "exec"
      config {}
    }
  }
}
