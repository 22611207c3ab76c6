# Every attribute takes what converts to its type.
job "conv" {
  datacenters = [1, "dc", true, 2.5]
  name        = 42
  region      = true
  namespace   = 1.50
  type        = "system"
  priority    = "77"
  all_at_once = "true"
  group "g" {
    count = "3"
    task "t" {
      driver = "exec"
      user   = 1000
      leader = "1"
      config {
        command = "x"
      }
      kill_timeout   = 1500000000
      shutdown_delay = "0"
    }
    task "u" {
      driver = "exec"
      leader = "false"
      config {
        on = "true"
      }
    }
  }
}
