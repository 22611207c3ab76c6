variable "list" {
  type    = list(string)
  default = ["a"]
}
variable "maybe" {
  type    = string
  default = null
}
job "if" {
  datacenters = var.maybe == null ? ["dc1"] : [var.maybe]
  meta {
    num    = true ? 1 : "a"
    str    = false ? 1 : "a"
    bool   = true ? true : "no"
    nested = false ? "x" : true ? "y" : "z"
    runtime = "${node.class}" == "x" ? "same" : "other"
  }
  group "g" {
    count = length(var.list) > 2 ? 5 : 2
    task "t" {
      driver = "exec"
      config {
        tuples    = true ? [1, 2] : ["a"]
        same_size = true ? [1, true] : ["a", "b"]
        lists     = false ? [] : var.list
        objects   = true ? { a = 1 } : { b = "x" }
        same_keys = true ? { a = 1, b = [1] } : { a = "x", b = ["y"] }
        empty     = false ? { a = 1 } : {}
        nulls     = true ? null : "x"
        not_null  = false ? null : [1]
        typed     = var.maybe
        wrong_arm = true ? "fine" : var.list[7]
        from_text = "true" ? 1 : 2
        deep      = true ? { a = { x = 1 } } : { a = { x = "s" } }
        list_obj  = true ? [{ a = 1 }] : []
        num_text  = "${true ? 5 : "x"}"
      }
    }
  }
}
