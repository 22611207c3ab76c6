# Line ends of another system.
job "crlf" {
  datacenters = ["dc1"]
  meta {
    a = "x" # comment
    b = "${upper("y")}"
  }
  group "g" {
    task "t" {
      driver = "exec"
      config {
        list = [
          "a",
          "b",
        ]
        obj = {
          k = 1
          l = 2
        }
        doc = <<EOF
one
  two ${"x"}
EOF
        flush = <<-EOF
          three
            four
        EOF
        loop = <<-EOF
          %{ for x in ["a", "b"] ~}
          - ${x}
          %{ endfor ~}
        EOF
      }
    }
  }
}
