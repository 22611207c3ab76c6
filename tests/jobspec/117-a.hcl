a = "from-a"
b = [1, "2"]
c = "from-a"
