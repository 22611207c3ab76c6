job "misc" {
  datacenters = ["dc1"]
  type = "batch"
  all_at_once = "true"
  priority = "77"
  periodic {
    cron = "*/15 * * * *"
    prohibit_overlap = true
    time_zone = "Europe/Berlin"
    enabled = false
  }
  parameterized {
    payload = "optional"
    meta_required = ["a"]
  }
  multiregion {
    strategy {
      max_parallel = 1
      on_failure = "fail_all"
    }
    region "west" {
      count = 2
      datacenters = ["w1"]
      meta { a = "b" }
    }
    region "east" {}
  }
  update {
    stagger = "10s"
    max_parallel = 0
    canary = 0
    auto_promote = false
  }
  migrate { max_parallel = 2 }
  reschedule {
    attempts = 0
    unlimited = true
    delay = "5s"
    delay_function = "fibonacci"
    max_delay = "1h"
    interval = "0s"
  }
  spread {
    attribute = "${node.datacenter}"
    weight = 100
    target "us" { percent = 60 }
    target "eu" { percent = 40 }
  }
  spread { attribute = "${meta.rack}" }
  affinity {
    attribute = "${attr.x}"
    value = 5
  }
  affinity {
    attribute = "${attr.x}"
    version = ">= 1"
    weight = 100
  }
  affinity {
    attribute = "${attr.x}"
    set_contains_any = "a,b"
    operator = "foo"
    value = "ignored"
  }
  affinity {
    attribute = "x"
    regexp = ""
  }
  constraint {}
  constraint { distinct_hosts = false }
  constraint {
    attribute = "x"
    regexp = "r"
    version = "v"
    value = "zzz"
  }
  constraint {
    distinct_hosts = true
    distinct_property = "${p}"
  }
  group "g" {
    count = "3"
    shutdown_delay = "30s"
    stop_after_client_disconnect = "1h"
    ephemeral_disk {
      migrate = true
      size = 500
      sticky = true
    }
    restart {
      attempts = 0
      interval = "1h30m"
      delay = 15000000000
      mode = "delay"
    }
    scaling {
      enabled = true
      min = 0
      max = 10
      policy {
        a = { x = 1 }
        check "c" {
          source = "s"
          strategy "t" { target = 20 }
        }
      }
    }
    volume "v1" {
      type = "csi"
      source = "s"
      read_only = true
      access_mode = "single-node-writer"
      attachment_mode = "file-system"
      per_alloc = true
      mount_options {
        fs_type = "ext4"
        mount_flags = ["noatime"]
      }
    }
    volume "v0" { type = "host" }
    meta = { "a.b" = 1, c = true }
    task "t" {
      driver = "java"
      user = "u"
      leader = true
      kind = "k"
      kill_timeout = "20s"
      kill_signal = "SIGQUIT"
      shutdown_delay = "3s"
      lifecycle {
        hook = "prestart"
        sidecar = true
      }
      logs {
        max_files = 3
        max_file_size = 15
      }
      dispatch_payload { file = "f" }
      artifact {
        source = "git::https://x"
        destination = "local/x"
        mode = "dir"
        options {
          checksum = "md5:x"
          depth = 1
        }
        headers { User-Agent = "n" }
      }
      artifact {}
      template {
        source = "s"
        destination = "d"
        change_mode = "noop"
        change_signal = "SIGHUP"
        splay = "0s"
        perms = "600"
        left_delimiter = "[["
        right_delimiter = "]]"
        env = true
        vault_grace = "1m"
      }
      template {}
      volume_mount {
        volume = "v1"
        destination = "/x"
        read_only = false
        propagation_mode = "private"
      }
      csi_plugin {
        id = "p"
        type = "node"
        mount_dir = "/csi"
      }
      restart { attempts = 1 }
      resources {
        cores = 2
        memory = 10
        memory_max = 20
        disk = 5
        iops = 7
      }
      vault { policies = [] }
      scaling "CPU" { max = 1 }
      config {}
      env = {}
      meta {}
    }
  }
}
