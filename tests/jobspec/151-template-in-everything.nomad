locals {
  apps = {
    web = { port = 80, hosts = ["a", "b"] }
    api = { port = 81, hosts = [] }
  }
}
job "conf" {
  datacenters = ["dc1"]
  group "g" {
    task "t" {
      driver = "exec"
      template {
        destination = "local/nginx.conf"
        data        = <<-EOF
          %{~ for name, app in local.apps }
          upstream ${name} {
            %{~ for h in app.hosts }
            server ${h}:${app.port};
            %{~ endfor }
            %{~ if length(app.hosts) == 0 }
            server 127.0.0.1:1; # none
            %{~ endif }
          }
          %{~ endfor }
        EOF
      }
      template {
        destination = "local/b"
        data        = "%{ for n, a in local.apps ~}\n${n} %{ if a.port > 80 ~} high %{ else ~} low %{ endif ~}\n%{ endfor ~}"
      }
      template {
        destination = "local/c"
        data        = join("\n", [for n, a in local.apps : "${n}:${jsonencode(a)}"])
      }
    }
  }
}
