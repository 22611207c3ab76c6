variable "objs" {
  type = list(object({ name = string, tags = list(string) }))
  default = [
    { name = "a", tags = ["x", "y"] },
    { name = "b", tags = ["z"] },
  ]
}
locals {
  map   = { first = { v = 1 }, "with.dot" = { v = 2 } }
  lists = [[1, 2], [3, 4]]
  none  = null
}
job "splat" {
  datacenters = var.objs[*].name
  group "g" {
    task "t" {
      driver = "exec"
      config {
        full     = var.objs[*].tags[0]
        attr     = var.objs.*.name
        attr_idx = var.objs.*.tags[1]
        legacy   = var.objs.*.tags.0
        nested   = local.lists[*][1]
        after    = local.lists.*[1]
        single   = local.map.first[*].v
        null     = local.none[*]
        scalar   = "s"[*]
        dotted   = local.map["with.dot"].v
        computed = local.map[join("", ["fir", "st"])].v
        number   = var.objs[1].tags[0]
        text_idx = var.objs["0"].name
        old_idx  = var.objs.1.name
        last     = var.objs[length(var.objs) - 1].name
        literal  = { a = [10, 20] }.a[1]
        of_call  = split(",", "p,q")[1]
        of_paren = (["r", "s"])[0]
        chained  = [[{ a = { b = ["deep"] } }]][0][0].a.b[0]
        spaced   = local . map . first . v
        flat     = flatten(var.objs[*].tags)
      }
    }
  }
}
