job "vol" {
  datacenters = ["dc1"]
  group "g" {
    volume "z" {
      type      = "host"
      source    = "src"
      read_only = true
    }
    volume "a" {
      type            = "csi"
      source          = "vol[0]"
      access_mode     = "multi-node-reader-only"
      attachment_mode = "block-device"
      per_alloc       = true
      mount_options {
        fs_type     = "xfs"
        mount_flags = ["ro", "noatime"]
      }
    }
    volume "b" {
      mount_options {}
    }
    task "plugin" {
      driver = "docker"
      csi_plugin {
        id        = "aws-ebs0"
        type      = "controller"
        mount_dir = "/csi"
      }
      volume_mount {
        volume           = "z"
        destination      = "/z"
        read_only        = true
        propagation_mode = "bidirectional"
      }
      volume_mount {
        volume = "a"
      }
      volume_mount {}
    }
  }
}
