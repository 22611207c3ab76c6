job "label" {
  id   = "the-id"
  name = "The Name"
  datacenters = []
  constraint {
    attribute = "${node.unique.id}"
    value     = "x"
  }
}
