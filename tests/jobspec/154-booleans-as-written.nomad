job "b" {
  datacenters = ["dc1"]
  all_at_once = false
  group "g" {
    update {
      auto_revert  = "1"
      auto_promote = "0"
      canary       = 0
    }
    ephemeral_disk {
      sticky  = true
      migrate = "false"
    }
    service {
      enable_tag_override = "true"
      check {
        tls_skip_verify = 1 == 1
        expose          = !true
      }
    }
    task "t" {
      driver = "exec"
      leader = true && !false
      config {
        a = true
        b = "true"
        c = 1
        d = "1"
      }
    }
  }
}
