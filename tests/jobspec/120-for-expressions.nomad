locals {
  users = [
    { name = "ada", roles = ["admin", "dev"], age = 36 },
    { name = "bob", roles = [], age = 20 },
    { name = "cyd", roles = ["dev"], age = 51 },
  ]
  map = { b = 2, a = 1, c = 3 }
}
job "for" {
  datacenters = [for i in range(1, 4) : "dc${i}"]
  group "g" {
    task "t" {
      driver = "exec"
      config {
        names    = [for u in local.users : u.name]
        upper    = [for u in local.users : upper(u.name) if u.age > 30]
        indexed  = [for i, u in local.users : "${i}:${u.name}"]
        by_name  = { for u in local.users : u.name => u.age }
        by_role  = { for p in flatten([for u in local.users : [for r in u.roles : { u = u.name, r = r }]]) : p.r => p.u... }
        swapped  = { for k, v in local.map : v => k }
        keys     = [for k, v in local.map : k]
        values   = [for v in local.map : v * v]
        nested   = [for a in [1, 2] : [for b in ["x", "y"] : "${a}${b}"]]
        filtered = { for k, v in local.map : k => v if v != 2 }
        of_set   = [for s in setunion(["b", "a"], ["c"]) : s]
        set_keys = { for k, v in setunion(["q"]) : k => v }
        empty    = [for x in [] : x]
        none     = { for x in {} : x => x }
        objects  = [for u in local.users : { n = u.name }]
        numbers  = { for i in range(2) : i => i + 0.5 }
        shadow   = [for local in ["s"] : local]
        cond     = [for v in [1, 2, 3] : v % 2 == 0 ? "even" : "odd"]
        runtime  = [for v in ["a"] : "${node.class}-${v}"]
        chars    = [for c in split("", "héy") : c]
        sum      = length([for u in local.users : u if contains(u.roles, "dev")])
      }
    }
  }
}
