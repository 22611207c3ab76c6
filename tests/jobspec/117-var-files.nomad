# -var-file 117-a.hcl
# -var-file 117-b.json
# -var c=from-arg
variable "a" {
  type = string
}
variable "b" {
  type = list(number)
}
variable "c" {}
variable "d" {
  default = "default"
}
job "files" {
  datacenters = ["dc1"]
  meta {
    a = var.a
    b = join(",", var.b)
    c = var.c
    d = var.d
  }
}
