# A build in ten slices: one allocation each, all at once where there is room. Each compiles and tests its share of
# a small C library, writes result.json into its allocation folder, and fails when a step fails.
#
#   drover job run -var source=$PWD/etc/example etc/example-build.nomad

variable "source" {
  description = "Folder that holds build-agent and src/, on the machines that build."
  type        = string
  default     = "/usr/local/share/drover/example"
}

variable "slices" {
  description = "How many allocations share the work."
  type        = number
  default     = 10
}

variable "memory" {
  description = "What one build agent may use, in MB."
  type        = number
  default     = 64
}

job "example-build" {
  datacenters = ["dc1"]
  type        = "batch"

  group "build" {
    count = var.slices

    # A machine that is drained takes nothing new, and this is finished first, however long it takes; only a drain
    # with a -deadline of its own, or with -force, cuts it off, and then it is done again elsewhere.
    meta {
      drover_drain = "finish"
    }

    # A step that fails is a result, not an accident: it is reported, not tried again.
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }

    ephemeral_disk {
      size = 50 # MB
    }

    task "agent" {
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args    = ["${var.source}/build-agent"]
      }

      env {
        BUILD_SOURCE = "${var.source}/src"
        BUILD_SLICES = "${var.slices}"
      }

      resources {
        cpu    = 100 # MHz
        memory = var.memory
      }

      logs {
        max_files     = 2
        max_file_size = 5 # MB
      }
    }
  }
}
