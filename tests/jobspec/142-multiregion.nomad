job "multi" {
  multiregion {
    strategy {
      max_parallel = 2
      on_failure   = "fail_local"
    }
    region "west" {
      count       = 5
      datacenters = ["west-1"]
      meta {
        fragrance = "rose"
      }
    }
    region "east" {
      count = "2"
      meta  {}
    }
    dynamic "region" {
      for_each = { n = 1, s = 2 }
      labels   = [region.key]
      content {
        count       = region.value
        datacenters = ["${region.key}-1"]
      }
    }
  }
  datacenters = ["dc1"]
}
