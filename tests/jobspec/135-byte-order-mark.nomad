job "bom" {
  datacenters = ["dc1"]
}
