job "v" {
  datacenters = ["dc1"]
  vault {
    policies      = ["job"]
    change_mode   = "signal"
    change_signal = "SIGUSR1"
    env           = false
    namespace     = "ns"
  }
  task "lone" {
    driver = "exec"
  }
  group "a" {
    task "t" {
      driver = "exec"
      vault {}
    }
  }
  group "b" {
    task "before" {
      driver = "exec"
    }
    vault {
      policies = ["group"]
    }
    task "after" {
      driver = "exec"
      vault {
        policies = null
      }
    }
  }
  group "c" {
    task "t" {
      driver = "exec"
    }
  }
}
