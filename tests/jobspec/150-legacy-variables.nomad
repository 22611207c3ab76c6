variables {
  tag   = "1.0"
  count = 2
  on    = true
  list  = ["a", 2]
  map   = { k = "v" }
  none  = null
}
variables {
  more = "x"
}
job "l" {
  datacenters = ["dc1"]
  meta {
    tag  = "img:${var.tag}"
    on   = var.on
    more = var.more
    all  = join(",", keys(var))
    none = var.none == null
  }
  group "g" {
    count = var.count
    task "t" {
      driver = "exec"
      config {
        list = var.list
        map  = var.map
        sum  = var.count + 1
      }
    }
  }
}
