job "num" {
  datacenters = ["dc1"]
  meta {
    int      = 5
    padded   = 007
    frac     = 2.50
    exp      = 1e3
    big      = 1e21
    huge     = 123456789012345678901234567890
    tiny     = 0.000001
    neg      = -3.0
    sum      = 0.1 + 0.2
    text     = "${1.10}!"
    whole    = "${10 / 5}!"
    half     = "${5 / 2}!"
    power    = "${pow(2, 64)}!"
    root     = "${pow(2, 0.5)}!"
    floor    = "${floor(-2.5)}${ceil(-2.5)}${floor(2.5)}${ceil(2.5)}"
    len      = "${length([1, 2, 3]) / 2}"
    parsed   = "${parseint("ff", 16) + 0.5}"
    log      = "${log(1000, 10)}"
    minmax   = "${min(3, 1, 2)}${max(0.5, 0.25)}"
    sign     = "${signum(-7)}${abs(-0.25)}"
    bool     = "${true}${!true}"
  }
}
