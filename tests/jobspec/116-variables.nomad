# -var s=from-arg
# -var n=7
# -var l=["x", "y"]
# -var m={a = 1, "b c" = 2}
# -var flag=true
# -var legacy_n=9
# -var obj={name = "o", sizes = [1, "2"]}
# -var text_of_number=0012
variable "s" {
  type    = string
  default = "d"
}
variable "n" {
  type = number
}
variable "l" {
  type        = list(string)
  description = "needs an expression"
}
variable "m" {
  type = map(string)
}
variable "flag" {
  type    = bool
  default = false
}
variable "untyped" {
  default = ["a", 1]
}
variable "text_of_number" {
  type = string
}
variable "obj" {
  type = object({ name = string, sizes = list(number) })
}
variable "checked" {
  default = 14
  validation {
    condition     = var.checked % 7 == 0 && var.checked < 100
    error_message = "Whole weeks only."
  }
}
variables {
  legacy_n = 5
  legacy_s = "x"
}
job "vars" {
  datacenters = var.l
  meta {
    s      = var.s
    n      = var.n
    flag   = !var.flag
    first  = var.untyped[0]
    legacy = "${var.legacy_n + 1}${var.legacy_s}"
    text   = var.text_of_number
    check  = var.checked
    name   = "${var.obj.name}-${join("/", var.obj.sizes)}"
  }
  group "g" {
    count = var.n
    task "t" {
      driver = "exec"
      config {
        l   = var.l
        m   = var.m
        obj = var.obj
        n   = var.n
        f   = var.flag
        un  = var.untyped
        eq  = [var.l == ["x", "y"], var.n == 7, var.s == "from-arg", "${var.n}" == 7]
      }
    }
  }
}
