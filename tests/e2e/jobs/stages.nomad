job "stages" {
  datacenters = ["dc1"]
  type        = "batch"

  group "g" {
    task "init" {
      driver = "raw_exec"

      lifecycle {
        hook    = "prestart"
        sidecar = false
      }

      config {
        command = "/bin/sh"
        args    = ["-c", "echo preparing; sleep 0.2"]
      }

      resources {
        cpu    = 20
        memory = 16
      }
    }

    task "logger" {
      driver = "raw_exec"

      lifecycle {
        hook    = "prestart"
        sidecar = true
      }

      config {
        command = "/bin/sh"
        args    = ["-c", "while true; do echo log; sleep 1; done"]
      }

      resources {
        cpu    = 20
        memory = 16
      }
    }

    task "main" {
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "echo job=$NOMAD_JOB_NAME >local/conf.txt; echo working; sleep 2; echo done"]
      }

      resources {
        cpu    = 20
        memory = 16
      }
    }

    task "after" {
      driver = "raw_exec"

      lifecycle {
        hook = "poststop"
      }

      config {
        command = "/bin/sh"
        args    = ["-c", "echo cleaning"]
      }

      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
