locals {
  n    = ["a", "b"]
  host = "h"
}
job "here" {
  datacenters = ["dc1"]
  group "g" {
    task "t" {
      driver = "exec"
      config {
        plain = <<EOF
line one
  indented \n "quoted" ${local.host}
EOF
        flush = <<-EOF
          first
            second
          third

          after an empty line
        EOF
        tabs = <<-EOF
			tab
				two tabs
			EOF
        least = <<-EOF
              deep
          shallow
             middle
          EOF
        interpolated = <<-EOF
          ${local.host} starts a line
            ${local.host} is deeper
        EOF
        escaped = <<EOF
$${left} %%{alone} $5 100% {{ go "template" }} `back` 'single'
EOF
        runtime = <<EOF
${NOMAD_ALLOC_DIR}/${ node.unique.name } ${env["HOME"]}
EOF
        empty = <<EOF
EOF
        loop = <<-EOF
          begin
          %{ for i, x in local.n ~}
          item ${i} = ${x}
          %{ endfor ~}
          %{ if length(local.n) > 1 ~}
          many
          %{ else ~}
          few
          %{ endif ~}
          end
        EOF
        loose = <<EOF
%{ for x in local.n }
- ${x}
%{ endfor }
EOF
        trimmed = <<EOF
  %{~ for x in local.n ~}
  [${x}]
  %{~ endfor ~}
  done
EOF
        inside = upper(<<EOF
in a call
EOF
        )
        listed = [<<A
one
A
          , <<B
two
B
        ]
        indented_marker = <<EOF
text
     EOF
        looks_like = <<EOF
EOFX
 xEOF
EOF
      }
      template {
        destination = "local/x"
        data        = <<-TEMPLATE
          {{ range service "web" }}
          server {{ .Address }}:{{ .Port }};
          {{ end }}
        TEMPLATE
      }
    }
  }
}
