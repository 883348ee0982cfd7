/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chinese texts of what codes mean (gateway 7.1); those of errors are in error-text.c. */
#include "http/http-private.h"

typedef struct {
  const char *name, *text;
} Text;

static const Text PORTS[] = {
    {"offline", "离线"}, {"idle", "空闲"}, {"charging", "充电中"}, {"fault", "故障"}, {0},
};
static const Text ORDERS[] = {
    {"pending", "待确认"},   {"confirmed", "已确认"},   {"charging", "充电中"},
    {"completed", "已完成"}, {"timeout", "超时"},       {"cancelled", "已取消"},
    {"failed", "失败"},      {"stopped", "已停止"},     {"cancelling", "取消中"},
    {"stopping", "停止中"},  {"interrupted", "已中断"}, {0},
};
static const Text REASONS[] = {
    {"normal", "正常结束"},        {"user_stop", "用户停止"},
    {"no_load", "空载"},           {"over_current", "过流"},
    {"over_temp", "过温"},         {"over_power", "过功率"},
    {"power_off", "断电"},         {"fault", "故障"},
    {"limit_reached", "达到上限"}, {"remote_stop", "远程停止"},
    {"over_voltage", "过压"},      {"under_voltage", "欠压"},
    {"comm_fault", "通信故障"},    {"emergency_stop", "紧急停止"},
    {"leakage", "漏电"},           {"timer_expired", "时间到"},
    {"card_removed", "卡已拔出"},  {"door_or_smoke_alarm", "门或烟雾报警"},
    {"unknown", "未知"},           {0},
};

static void translate (json_t *list, const Text *texts)
{
  size_t i;
  json_t *item;
  json_array_foreach (list, i, item)
  {
    const char *name = ch_json_get_string (item, "name", "");
    for (const Text *text = texts; text->name != NULL; text++)
      if (g_str_equal (text->name, name))
        json_object_set_new (item, "display_text", json_string (text->text));
  }
}

void ch_http_definitions_chinese (json_t *definitions)
{
  translate (json_object_get (definitions, "port_status"), PORTS);
  translate (json_object_get (definitions, "order_status"), ORDERS);
  translate (json_object_get (definitions, "end_reason"), REASONS);
}
