job "rules" {
  datacenters = ["dc1"]
  constraint {
    attribute = "${attr.a}"
    value     = true
  }
  constraint {
    attribute = "${attr.a}"
    operator  = ""
    value     = 1.5
  }
  constraint {
    version = ">= 1"
    semver  = ">= 2"
    regexp  = ""
  }
  constraint {
    regexp = "late"
    value  = "early"
  }
  constraint {
    distinct_hosts = "true"
  }
  constraint {
    distinct_hosts = false
    operator       = "regexp"
    value          = "kept"
  }
  constraint {
    distinct_property = "${meta.rack}"
    distinct_hosts    = true
    attribute         = "replaced"
    value             = "3"
  }
  constraint {
    attribute    = null
    set_contains = "a,b"
  }
  affinity {
    attribute = "${meta.x}"
    operator  = "set_contains_any"
    value     = "a"
    weight    = "-100"
  }
  affinity {
    set_contains     = "c"
    set_contains_all = "b"
    set_contains_any = "a"
    weight           = 10.9
  }
  affinity {
    attribute = "${node.class}"
    regexp    = "^c[0-9]+$"
  }
  group "g" {
    affinity {
      attribute = "${node.datacenter}"
      value     = "dc2"
      weight    = 0
    }
    spread {
      attribute = "${meta.rack}"
      weight    = 50
      target "r1" {
        percent = 70
      }
      target "r2" {}
    }
    task "t" {
      driver = "exec"
      affinity {
        attribute = "a"
        semver    = "1"
        weight    = 1
      }
    }
  }
}
