job "p" {
  datacenters = ["dc1"]
  type        = "batch"
  periodic {
    enabled = false
  }
  parameterized {}
  multiregion {}
  update {}
  migrate {}
  reschedule {}
  group "g" {
    ephemeral_disk {}
    restart {}
    network {}
    update {}
    migrate {}
    consul {}
    task "t" {
      driver = "exec"
      resources {}
      logs {}
      artifact {}
      template {}
      lifecycle {}
      restart {}
      dispatch_payload {}
      csi_plugin {}
      service {
        connect {
          sidecar_task {}
        }
        check_restart {}
        meta {}
      }
      env {}
    }
  }
}
