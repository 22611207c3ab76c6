job "wide" {
  datacenters = ["dc1"]
  group "g0" {
    count = 0
    task "t" {
      driver = "exec"
      env {
        I = 0
      }
    }
  }
  group "g1" {
    count = 1
    task "t" {
      driver = "exec"
      env {
        I = 1
      }
    }
  }
  group "g2" {
    count = 2
    task "t" {
      driver = "exec"
      env {
        I = 2
      }
    }
  }
  group "g3" {
    count = 3
    task "t" {
      driver = "exec"
      env {
        I = 3
      }
    }
  }
  group "g4" {
    count = 4
    task "t" {
      driver = "exec"
      env {
        I = 4
      }
    }
  }
  group "g5" {
    count = 5
    task "t" {
      driver = "exec"
      env {
        I = 5
      }
    }
  }
  group "g6" {
    count = 6
    task "t" {
      driver = "exec"
      env {
        I = 6
      }
    }
  }
  group "g7" {
    count = 7
    task "t" {
      driver = "exec"
      env {
        I = 7
      }
    }
  }
  group "g8" {
    count = 8
    task "t" {
      driver = "exec"
      env {
        I = 8
      }
    }
  }
  group "g9" {
    count = 9
    task "t" {
      driver = "exec"
      env {
        I = 9
      }
    }
  }
  group "g10" {
    count = 10
    task "t" {
      driver = "exec"
      env {
        I = 10
      }
    }
  }
  group "g11" {
    count = 11
    task "t" {
      driver = "exec"
      env {
        I = 11
      }
    }
  }
  group "g12" {
    count = 12
    task "t" {
      driver = "exec"
      env {
        I = 12
      }
    }
  }
  group "g13" {
    count = 13
    task "t" {
      driver = "exec"
      env {
        I = 13
      }
    }
  }
  group "g14" {
    count = 14
    task "t" {
      driver = "exec"
      env {
        I = 14
      }
    }
  }
  group "g15" {
    count = 15
    task "t" {
      driver = "exec"
      env {
        I = 15
      }
    }
  }
  group "g16" {
    count = 16
    task "t" {
      driver = "exec"
      env {
        I = 16
      }
    }
  }
  group "g17" {
    count = 17
    task "t" {
      driver = "exec"
      env {
        I = 17
      }
    }
  }
  group "g18" {
    count = 18
    task "t" {
      driver = "exec"
      env {
        I = 18
      }
    }
  }
  group "g19" {
    count = 19
    task "t" {
      driver = "exec"
      env {
        I = 19
      }
    }
  }
  group "g20" {
    count = 20
    task "t" {
      driver = "exec"
      env {
        I = 20
      }
    }
  }
  group "g21" {
    count = 21
    task "t" {
      driver = "exec"
      env {
        I = 21
      }
    }
  }
  group "g22" {
    count = 22
    task "t" {
      driver = "exec"
      env {
        I = 22
      }
    }
  }
  group "g23" {
    count = 23
    task "t" {
      driver = "exec"
      env {
        I = 23
      }
    }
  }
  group "g24" {
    count = 24
    task "t" {
      driver = "exec"
      env {
        I = 24
      }
    }
  }
  group "g25" {
    count = 25
    task "t" {
      driver = "exec"
      env {
        I = 25
      }
    }
  }
  group "g26" {
    count = 26
    task "t" {
      driver = "exec"
      env {
        I = 26
      }
    }
  }
  group "g27" {
    count = 27
    task "t" {
      driver = "exec"
      env {
        I = 27
      }
    }
  }
  group "g28" {
    count = 28
    task "t" {
      driver = "exec"
      env {
        I = 28
      }
    }
  }
  group "g29" {
    count = 29
    task "t" {
      driver = "exec"
      env {
        I = 29
      }
    }
  }
}
