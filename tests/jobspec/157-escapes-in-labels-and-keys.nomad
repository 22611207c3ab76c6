job "a\u00e9\"\\b" {
  datacenters = ["\t\n"]
  group "g\U0001F680" {
    task "$${x}" {
      driver = "exec"
      config {
        block "l\u00e9" "$${y}" {
          k = "%%{z}"
        }
      }
    }
  }
}
