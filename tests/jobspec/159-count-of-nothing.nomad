job "zero" {
  datacenters = [""]
  priority    = 0
  group "g" {
    count = 0
    restart {
      attempts = 0
      interval = "0s"
      delay    = 0
      mode     = ""
    }
    ephemeral_disk {
      size = 0
    }
    task "" {
      driver = ""
      config {
        a = ""
        b = 0
        c = false
        d = []
        e = {}
      }
      env {
        EMPTY = ""
      }
      resources {
        cpu    = 0
        memory = 0
      }
      template {
        data = ""
        env  = false
      }
    }
  }
}
