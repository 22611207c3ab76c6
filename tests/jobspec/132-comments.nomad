# hash
// slashes
/* block */ /* another */
/*
   over
   lines * / not the end
*/
job /* here */ "c" /* too */ { # after the brace
  # alone
  datacenters = ["dc1", # in a list
    // slashes in a list
    "dc2" /* before the end */
  ] # after
  meta { // one line follows
    a = "# no comment" # but this
    b = "// nor this" // but this
    c = "/* nor this */" /* but this */
    d = 1 /* between */ + /* operators */ 2
  }
  group "g" { /* block comment
    goes on */
    task "t" {
      driver = "exec"
      config {
        map = { # in an object
          a = 1 # first
          // between

          b = 2, /* second */
        }
        call = upper( # in a call
          "x" // argument
        )
        heredoc = <<EOF
# not a comment
// nor this
EOF
      }
    } // end
  }
}
# last line, without a line end