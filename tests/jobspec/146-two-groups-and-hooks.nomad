job "hooks" {
  datacenters = ["dc1"]
  type        = "service"
  update {
    max_parallel = 1
    canary       = 2
    auto_promote = true
  }
  group "web" {
    update {
      health_check = "manual"
    }
    task "init" {
      driver = "exec"
      lifecycle {
        hook    = "prestart"
        sidecar = false
      }
      config {
        command = "sh"
        args    = ["-c", "echo ${NOMAD_TASK_NAME}; exit 0"]
      }
    }
    task "side" {
      driver = "exec"
      lifecycle {
        hook    = "poststart"
        sidecar = true
      }
      config {
        command = "side"
      }
      kill_signal = "SIGINT"
    }
    task "main" {
      leader = true
      driver = "java"
      config {
        jar_path    = "local/x.jar"
        jvm_options = ["-Xmx1g"]
      }
      restart {
        attempts = 1
        mode     = "fail"
      }
    }
  }
  group "web2" {
    count = 0
    task "qemu" {
      driver = "qemu"
      config {
        image_path = "local/i.img"
        args       = ["-smp", 2]
        port_map {
          ssh = 22
        }
      }
    }
  }
}
