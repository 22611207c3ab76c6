variable "numbers" {
  type    = set(number)
  default = [10, 9, "100", 9]
}
variable "objects" {
  type    = set(object({ n = number, s = string }))
  default = [{ n = 2, s = "b" }, { n = 10, s = "a" }, { n = 2, s = "a" }]
}
variable "lists" {
  type    = set(list(string))
  default = [["b"], ["a", "c"], ["a"]]
}
variable "bools" {
  type    = set(bool)
  default = [true, false]
}
job "sets" {
  datacenters = setunion(["b"], ["a"])
  group "g" {
    task "t" {
      driver = "exec"
      config {
        numbers = var.numbers
        objects = var.objects
        lists   = var.lists
        bools   = var.bools
        product = setproduct(var.numbers, ["x"])
        loop    = [for n in var.numbers : n + 1]
        unified = setunion([1], ["a", true])
      }
    }
  }
}
